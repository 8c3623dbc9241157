// The question that the drawer answers.
import type {Flow} from './api.ts'

export interface Question {
  device: string
  to: string
  port?: number
  proto?: string
  at?: string
  flow?: Flow
}

class Asking {
  question = $state.raw<Question | null>(null)
  #opener: HTMLElement | null = null

  ask(q: Question) {
    // The drawer may move from one row to the next; the focus returns to where it came from.
    if (!this.question && document.activeElement instanceof HTMLElement) this.#opener = document.activeElement
    this.question = q
  }

  close() {
    if (!this.question) return
    this.question = null
    if (this.#opener?.isConnected) this.#opener.focus()
    this.#opener = null
  }
}
export const asking = new Asking()

/** The question about a flow that runs. */
export function about(f: Flow): Question {
  const port = /:(\d+)$/.exec(f.dst)?.[1]
  const address = f.dst.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return {device: f.device || 'router', to: f.host || address, port: port ? Number(port) : undefined, proto: f.proto, flow: f}
}
