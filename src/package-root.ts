// Where this package lies, wherever in it the code that asks has been put.

/** URL of the folder with package.json, with a slash at the end. */
export function packageRoot(): URL {
  return new URL('./', import.meta.resolve('devfuse/package.json'))
}
