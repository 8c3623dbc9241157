// A backup that is being restored: the router starts anew with it, and goes back by itself unless it is kept.
import {ask, get, Refusal, type Schemas} from './api.ts'
import {house} from './house.svelte.ts'
import {toasts} from './toast.svelte.ts'
import {t} from './text.svelte.ts'

type Restore = Schemas['Restore']

const SECONDS = 120
const LOOK = 1500 // ms between looks while one runs

class Restores {
  state = $state.raw<Restore | null>(null)
  /** When it goes back, by this device's clock. */
  until = $state(0)
  /** Mine was not kept, which stands on the page until it is read. */
  lost = $state(false)
  running = $derived(!!this.state?.running)
  failed = $derived(this.state?.failed ?? '')
  #timer = 0
  #mine = false

  async begin(id: string) {
    this.lost = false
    this.#take(await ask<Restore>('/restore/begin', {method: 'POST', json: {id, seconds: SECONDS}}))
  }

  async keep() {
    const kept = await ask<Restore>('/restore/keep', {method: 'POST'})
    this.#mine = false
    this.#take(kept)
    toasts.say(t('restore.kept'))
  }

  async back() {
    this.#take(await ask<Restore>('/restore/back', {method: 'POST'}))
  }

  /** Asks how it stands; while the router starts anew, asks again. */
  async look() {
    clearTimeout(this.#timer)
    try {
      this.#take(await get('/restore'))
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

  #take(r: Restore) {
    const before = this.state
    this.state = r
    if (r.running) {
      if (r.leftMs !== undefined) this.until = Date.now() + r.leftMs
      if (r.mine) this.#mine = true
      this.#again()
    } else if (this.#mine) {
      this.lost = !r.failed
      this.#mine = false
    }
    if (before?.running !== r.running || before?.settled !== r.settled) {
      house.policyChanges++
      void house.load()
    }
  }
}
export const restores = new Restores()
