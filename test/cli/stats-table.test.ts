// Checks how counters look in a terminal, whatever the server sends.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytes, duration, micros, renderStats } from '#dist/cli/stats-table.js'

describe('units', () => {
  it('are readable', () => {
    assert.deepEqual([0, 59.9, 61, 3600, 90061].map(duration), [
      '0s',
      '59s',
      '1m 1s',
      '1h 0m 0s',
      '1d 1h 1m 1s',
    ])
    assert.deepEqual([0, 1023, 1024, 1536 * 1024, 2 ** 50].map(bytes), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 MiB',
      '1024.0 TiB',
    ])
    assert.deepEqual([0.5, 12.34, 1234.5].map(micros), ['0.50', '12.3', '1235'])
  })
})

const operation = { errors: 0, bytesIn: 0, bytesOut: 0, p50: 5.1, p90: 8, p99: 20.2, max: 300.4 }

describe('renderStats', () => {
  it('shows the busiest operations first, and why passthrough was not used', () => {
    const text = renderStats({
      mountPoint: '/mnt/x',
      pid: 42,
      uptime: 61,
      transport: 'device',
      kernelMinor: 45,
      minor: 45,
      inFlight: 1,
      passthrough: { agreed: true, opens: 3, fallbacks: { 'on tmpfs': 2 } },
      operations: { LOOKUP: { ...operation, count: 7, errors: 2 }, GETATTR: { ...operation, count: 9 } },
      device: { spins: 10, spinHits: 4 },
      filesystem: { inodes: 12, watch: 'on' },
    })
    assert.match(text, /mount point +\/mnt\/x\n/)
    assert.match(text, /process +42, up 1m 1s\n/)
    assert.match(text, /protocol 7\.45 \(kernel: 7\.45\)/)
    assert.match(text, /passthrough +agreed with the kernel, 3 opens/)
    assert.match(text, /^filesystem +inodes 12, watch on$/m)
    assert.match(text, /2 opens served by devfuse: on tmpfs/)
    assert.match(text, /found a request 4 of 10 times/)
    assert.ok(text.indexOf('GETATTR') < text.indexOf('LOOKUP'))
    assert.match(text, /^LOOKUP +7 +2 +0 B +0 B +5\.10 +8\.00 +20\.2 +300$/m)
  })

  it('says so when nothing was asked yet or the answer is strange', () => {
    assert.match(renderStats({ mountPoint: '/mnt', operations: {} }), /no requests yet/)
    assert.match(
      renderStats({ passthrough: { agreed: false, unavailable: 'no privilege' } }),
      /off: no privilege/,
    )
    assert.match(renderStats(null), /no requests yet/)
  })
})
