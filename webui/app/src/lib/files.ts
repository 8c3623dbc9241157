// Files that the page hands to the person.

/** Lets the browser keep a file under a name. */
export function save(file: Blob, name: string) {
  const a = document.createElement('a')
  a.href = URL.createObjectURL(file)
  a.download = name
  a.click()
  // Some browsers read it only after the click is over.
  setTimeout(() => URL.revokeObjectURL(a.href), 60_000)
}

/** "trenza-2026-11-30": names of one kind of file sort by their day. */
export const dated = (kind: string, ending: string) => `${kind}-${new Date().toISOString().slice(0, 10)}.${ending}`
