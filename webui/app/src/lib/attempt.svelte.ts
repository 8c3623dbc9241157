// Something that takes a while and may fail: whether it is under way, and why the latest one did not work.
import {Refusal} from './api.ts'

export class Attempt {
  /** What is under way, by the name that run was given; "" while nothing is. */
  what = $state('')
  error = $state.raw<unknown>(null)
  busy = $derived(this.what !== '')

  /** Does it; undefined when it failed, with error saying why. The error of the one before is forgotten. */
  async run<T>(work: () => Promise<T>, what = 'work'): Promise<T | undefined> {
    this.what = what
    this.error = null
    try {
      return await work()
    } catch (err) {
      this.error = err
      return undefined
    } finally {
      this.what = ''
    }
  }
}

/** Somebody else changed the rules meanwhile. */
export const conflicts = (err: unknown) => err instanceof Refusal && err.code === 'conflict'
