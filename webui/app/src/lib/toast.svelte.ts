// Short confirmations of small actions, with a way back. Never for errors.

export interface Toast {
  id: number
  words: string
  undo?: () => void
}

class Toasts {
  list = $state<Toast[]>([])
  #next = 1

  say(words: string, undo?: () => void) {
    const id = this.#next++
    this.list = [...this.list.filter((t) => t.words !== words).slice(-2), {id, words, undo}]
    setTimeout(() => this.drop(id), 8000)
  }

  drop(id: number) {
    this.list = this.list.filter((t) => t.id !== id)
  }
}
export const toasts = new Toasts()
