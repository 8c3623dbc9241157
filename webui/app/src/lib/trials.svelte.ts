// Changed rules that are being tried: in force for a while, and gone by themselves unless they are kept.
import {ask, get, Refusal, type Schemas} from './api.ts'
import {house} from './house.svelte.ts'
import {t as words} from './text.svelte.ts'
import {toasts} from './toast.svelte.ts'

export type Trial = Schemas['Trial']

const SECONDS = 60
const LOOK = 2000 // ms between looks while a trial runs

class Trials {
  trial = $state.raw<Trial | null>(null)
  /** When it goes back, by this device's clock. */
  until = $state(0)
  /** Mine was not kept, which stands on the page until it is read. */
  lost = $state(false)
  #timer = 0
  /** Mine, whose end has not been heard yet: its id and the version before it. */
  #mine: {id: string; base: number} | null = null

  running = $derived(!!this.trial?.running)

  async apply(draft: string) {
    this.lost = false
    this.#take(await ask<Trial>(`/drafts/${encodeURIComponent(draft)}/apply`, {method: 'POST', json: {seconds: SECONDS}}))
  }

  async keep() {
    if (!this.trial?.id) return
    this.#take(await ask<Trial>('/trial/keep', {method: 'POST', json: {id: this.trial.id}}))
  }

  async back() {
    if (!this.trial?.id) return
    this.#take(await ask<Trial>('/trial/back', {method: 'POST', json: {id: this.trial.id}}))
  }

  /** Asks the router how it stands; while nobody answers, asks again. */
  async look() {
    clearTimeout(this.#timer)
    try {
      this.#take(await get('/trial'))
    } catch (err) {
      if (!(err instanceof Refusal) || err.status === 0) this.#again()
    }
  }

  stop() {
    clearTimeout(this.#timer)
  }

  #again() {
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => void this.look(), LOOK)
  }

  #take(t: Trial) {
    const before = this.trial
    this.trial = t
    if (t.running) {
      this.until = Date.now() + (t.leftMs ?? 0)
      if (t.mine && t.id) this.#mine = {id: t.id, base: t.version}
      this.#again()
    } else if (this.#mine) {
      // A trial that was kept is a new version; one that was not leaves the old.
      if (t.version > this.#mine.base) toasts.say(words('trial.kept'))
      else this.lost = true
      this.#mine = null
    }
    if (before?.running !== t.running || before?.id !== t.id) {
      house.policyChanges++ // screens ask for the rules again
      void house.load()
    }
  }
}
export const trials = new Trials()
