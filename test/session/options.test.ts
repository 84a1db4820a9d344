// Options of a session that are refused before anything is tried, whatever was passed.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OptionError, connect } from 'devfuse'
import type { ConnectOptions } from 'devfuse'

describe('options of a session', () => {
  const nothing: unknown = Object.create(null)
  for (const [key, value] of [
    ['timeGran', '1000'],
    ['timeGran', [10]],
    ['timeGran', 10n],
    ['timeGran', nothing],
    ['maxWrite', -1],
    ['maxWrite', nothing],
    ['minor', Number.NaN],
    ['minor', '45'],
  ] as const) {
    it(`refuse ${typeof value} for ${key}`, async () => {
      const options: ConnectOptions = Object.fromEntries([[key, value]])
      await assert.rejects(connect({}, options), (error: unknown) => {
        assert.ok(error instanceof OptionError)
        assert.match(error.message, new RegExp(`option \`${key}\``))
        return true
      })
    })
  }

  it('say what an init that rejects said', async () => {
    const warnings: string[] = []
    const init = async (): Promise<void> => {
      throw new Error('no luck')
    }
    const connection = await connect({ init }, { onWarning: ({ message }) => warnings.push(message) })
    await connection.close()
    assert.match(warnings.join(), /init failed.*no luck/)
  })
})
