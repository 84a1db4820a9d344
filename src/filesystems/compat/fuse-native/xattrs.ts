// Requests about extended attributes. Their position, which only macOS has, is 0.
import { ENODATA } from '../../../index.js'
import type { Filesystem } from '../../../index.js'
import type { Translation } from './translation.js'

/** The methods whose handlers are there. */
export function xattrRequests(translation: Translation): Filesystem {
  const { calls } = translation
  return {
    ...(calls.has('setxattr') && {
      // The handler may keep the value, and go on after a timeout: it gets bytes of its own.
      setxattr: ({ nodeid, name, value, flags }) =>
        translation.on(nodeid, ({ path }) =>
          translation.tell('setxattr', path, name, Buffer.from(value), 0, flags),
        ),
    }),
    ...(calls.has('getxattr') && {
      getxattr: ({ nodeid, name }) =>
        translation.on(nodeid, ({ path }) =>
          calls.ask('getxattr', [path, name, 0], (_, [value]) =>
            value === undefined || value === null ? ENODATA : (value as Buffer),
          ),
        ),
    }),
    ...(calls.has('listxattr') && {
      listxattr: ({ nodeid }) =>
        translation.on(nodeid, ({ path }) =>
          calls.ask('listxattr', [path], (_, [names]) => [...((names ?? []) as Iterable<string>)]),
        ),
    }),
    ...(calls.has('removexattr') && {
      removexattr: ({ nodeid, name }) =>
        translation.on(nodeid, ({ path }) => translation.tell('removexattr', path, name)),
    }),
  }
}
