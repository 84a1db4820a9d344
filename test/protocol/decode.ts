// Shared by the decoder tests: decodes a whole message as the session does.

import type { AnyRequest, DecodeContext, OperationName, Refusal } from '#dist/protocol/index.js'
import { cuseInitDecoder, decoders, operationsByName } from '#dist/protocol/index.js'

export const context: DecodeContext = {
  encoding: 'utf8',
  setxattrExt: true,
  signalOf: () => AbortSignal.abort('asked'),
  groupsOf: () => [4, 5],
}

/** Decodes a message that is contiguous, as /dev/fuse delivers it. */
export function decode(message: Buffer, options: Partial<DecodeContext> = {}): AnyRequest | Refusal {
  const opcode = message.readUInt32LE(4)
  const decoder = opcode === 4096 ? cuseInitDecoder : decoders[opcode]
  if (!decoder) throw new Error(`no decoder for ${opcode}`)
  const settings = { ...context, ...options }
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  return decoder.decode(message, view, 0, 40, 40 + decoder.size(settings), message.length, settings)
}

/** Decodes a message that must be in order, and checks that it is of this operation. */
export function decodeAs<Name extends OperationName>(
  name: Name,
  message: Buffer,
  options: Partial<DecodeContext> = {},
): Extract<AnyRequest, { operation: Name }> {
  const request = decode(message, options)
  if (typeof request === 'number') throw new Error(`refused with ${request}`)
  if (operationsByName[request.operation].name !== name)
    throw new Error(`${name} became ${request.operation}`)
  return request as Extract<AnyRequest, { operation: Name }>
}

/** Hexadecimal digits of a message that is spelled out, a word for each member. */
export function spelled(...lines: readonly string[]): string {
  return lines.join('').replaceAll(' ', '')
}
