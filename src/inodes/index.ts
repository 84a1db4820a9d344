// devfuse/inodes: building blocks for filesystem authors. Nothing here is needed to answer requests; it only saves writing it again.
export { HandleTable } from './handle-table.js'
export { Inode, InodeTable, ROOT_NODEID } from './inode-table.js'
export { LockTable } from './locks.js'
