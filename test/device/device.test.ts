// The device transport over a socket pair: its memory, which handlers see.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeviceTransport } from '#dist/device/device.js'
import { messagePair } from '../native/calls.js'

test('the memory of requests stays, whoever transfers what it was given', () => {
  const [ours, theirs] = messagePair()
  const device = new DeviceTransport(ours, 4096)
  const far = new DeviceTransport(theirs, 4096)
  const size = device.memory.byteLength
  const buffer = device.memory.subarray(8, 16).buffer as ArrayBuffer &
    Record<string, (() => void) | undefined>
  const ways = [
    () => structuredClone(buffer, { transfer: [buffer] }),
    () => new MessageChannel().port1.postMessage(buffer, [buffer]),
    () => buffer['transfer']?.(),
    () => buffer['transferToFixedLength']?.(),
  ]
  for (const way of ways) {
    try {
      way()
    } catch (error) {
      assert.match((error as Error).message, /transfer/)
    }
    assert.equal(device.memory.byteLength, size)
  }
  device.close()
  far.close()
})
