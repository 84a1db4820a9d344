// The native tests once more, under AddressSanitizer and UndefinedBehaviorSanitizer.
import { describe } from 'node:test'
import { noSanitizers, underSanitizers } from './sanitizers.js'

describe('under the sanitizers', { skip: noSanitizers }, () => {
  underSanitizers(['syscalls', 'pool', 'identity', 'descriptors', 'channel', 'guard', 'workers', 'mount'])
})
