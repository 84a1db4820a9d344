// The tests of the ring once more, under AddressSanitizer and UndefinedBehaviorSanitizer: they take the longest.
import { describe } from 'node:test'
import { noSanitizers, underSanitizers } from './sanitizers.js'

describe('the ring under the sanitizers', { skip: noSanitizers }, () => {
  underSanitizers(['../mount/ring'])
})
