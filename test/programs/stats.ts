// Reads the answer of `devfuse stats --json`.

/** Gives the number of requests of one opcode, 0 for one that never came. */
export function requests(stats: Record<string, unknown>): (operation: string) => number {
  const operations = Object(stats.operations)
  return (operation) => {
    const counted: unknown = Object(operations[operation]).count
    return typeof counted === 'number' ? counted : 0
  }
}
