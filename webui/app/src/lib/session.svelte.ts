// Who sits before the page, and what they may do.
import {ask, gate, get, type Schemas} from './api.ts'
import {speech} from './text.svelte.ts'

export type Session = Schemas['Session']

class Me {
  session = $state.raw<Session | null>(null)
  error = $state.raw<unknown>(null)
  known = $derived(this.session?.state === 'signed-in')
  /** Whether things may be changed; who may not is not shown what cannot be done. */
  admin = $derived(this.session?.user?.role === 'admin')
  /** A member sees and changes only what is theirs: the rules of this person. */
  member = $derived(this.session?.user?.role === 'member')
  person = $derived(this.session?.user?.person ?? '')

  async look() {
    try {
      this.session = await get('/session')
      this.error = null
    } catch (err) {
      this.error = err
    }
  }

  async enter(name: string, password: string, code: string) {
    const first = this.session?.state === 'setup'
    const session = await ask<Session>(first ? '/setup/admin' : '/session', {method: 'POST', json: {name, password, ...(code && !first ? {code} : {})}})
    if (first) {
      // Who is in now goes on with the setup, here or elsewhere.
      await ask('/setup', {method: 'PUT', json: {step: 'links', language: speech.language}}).catch(() => {})
      this.session = await get('/session').catch(() => session)
    } else this.session = session
  }

  async leave() {
    await ask('/session', {method: 'DELETE'})
    // Whatever the page knows goes with the session.
    location.reload()
  }
}
export const me = new Me()
gate.closed = () => {
  if (me.known) void me.look()
}
