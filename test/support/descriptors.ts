// What the descriptors of this process lead to. Node opens and closes files of its own, so how many there are tells less.
import { readdirSync, readlinkSync } from 'node:fs'

export function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return [] // the one of the listing
    }
  })
}

/** Descriptors of /dev/fuse in this process. */
export function openDevices(): number {
  return openFiles().filter((link) => link === '/dev/fuse').length
}
