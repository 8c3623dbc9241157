// What the page knows of the running router. It asks once, then listens; when the connection is lost it says so, keeps the old
// values and asks again, without a reload.
import {address, get, type Device, type Link, type Live, type RouterEvent, type Status} from './api.ts'

/** One second (or minute, of the past) of every link. Rates are bits per second, by the link's name. */
export interface Sample {
  at: number // ms
  down: Record<string, number>
  up: Record<string, number>
  rtt: Record<string, number>
}

export type Contact = 'starting' | 'fresh' | 'looking' | 'gone'

const LOOKING = 3_000 // ms without data until the page says that it looks for the router
const GONE = 15_000
const KEEP = 3_600_000 // ms of samples

class House {
  contact = $state<Contact>('starting')
  lastData = $state(0)
  now = $state(Date.now())
  status = $state.raw<Status | null>(null)
  links = $state.raw<Link[]>([])
  devices = $state.raw<Device[]>([])
  events = $state.raw<RouterEvent[]>([])
  rates = $state.raw<Live['devices']>({})
  apps = $state.raw<Live['apps']>({})
  flows = $state(0)
  samples = $state.raw<Sample[]>([])
  /** Counts up when the policy changed, so that screens ask again. */
  policyChanges = $state(0)
  /** Counts up when a trial of rules may have begun or ended. */
  trialChanges = $state(0)

  /** The links that take part now, in order. */
  working = $derived(this.links.filter((l) => l.usable && l.role !== 'never'))
  stale = $derived(this.contact === 'looking' || this.contact === 'gone')

  #source: EventSource | null = null
  #tick = 0
  #retry = 0
  #listeners = new Set<(e: RouterEvent) => void>()

  link(name: string): Link | undefined {
    return this.links.find((l) => l.name === name)
  }

  device(id: string): Device | undefined {
    return this.devices.find((d) => d.id === id)
  }

  listen(f: (e: RouterEvent) => void): () => void {
    this.#listeners.add(f)
    return () => this.#listeners.delete(f)
  }

  start(): () => void {
    void this.load()
    this.#connect()
    this.#tick = window.setInterval(() => this.#look(), 1000)
    const visible = () => document.visibilityState === 'visible' && this.stale && this.again()
    document.addEventListener('visibilitychange', visible)
    addEventListener('online', visible)
    return () => {
      clearInterval(this.#tick)
      clearTimeout(this.#retry)
      this.#source?.close()
      document.removeEventListener('visibilitychange', visible)
      removeEventListener('online', visible)
    }
  }

  /** Looks for the router at once. */
  again() {
    this.#connect()
    void this.load()
  }

  async load() {
    try {
      const [status, devices, events] = await Promise.all([get('/status'), get('/devices'), get('/events', {limit: 200})])
      this.status = status
      this.links = status.links
      this.devices = devices
      this.events = events
      this.flows = status.flows
      this.#heard()
      if (!this.samples.length || this.samples[0].at > Date.now() - 120_000) await this.#past()
    } catch {
      // The clock notices that nothing is heard, and the stream asks again.
    }
  }

  /** The last hour by the minute, so that the chart does not begin empty. */
  async #past() {
    const span = 60_000
    const to = Math.floor(Date.now() / span) * span
    const list = await get('/usage', {span: 'minute', by: ['time', 'link'], from: new Date(to - 60 * span).toISOString(), to: new Date(to).toISOString()})
    const minutes = new Map<number, Sample>()
    for (const u of list) {
      const at = new Date(u.at).getTime()
      const s = minutes.get(at) ?? {at, down: {}, up: {}, rtt: {}}
      s.down[u.link] = (s.down[u.link] ?? 0) + (u.down * 8000) / span
      s.up[u.link] = (s.up[u.link] ?? 0) + (u.up * 8000) / span
      minutes.set(at, s)
    }
    if (!minutes.size) return
    const first = Math.min(...minutes.keys())
    const past: Sample[] = []
    const live = this.samples[0]?.at ?? Infinity
    for (let at = first; at < Math.min(to, live); at += span) {
      const s = minutes.get(at) ?? {at, down: {}, up: {}, rtt: {}}
      past.push({...s, at: at + span / 2})
    }
    this.samples = [...past.filter((s) => s.at < live), ...this.samples]
  }

  #connect() {
    clearTimeout(this.#retry)
    this.#source?.close()
    const source = new EventSource(address('/live'))
    this.#source = source
    source.addEventListener('live', (e) => this.#live(JSON.parse(e.data) as Live))
    source.addEventListener('event', (e) => this.#happened(JSON.parse(e.data) as RouterEvent))
    source.onerror = () => {
      // A browser gives up on an answer that is no stream; so does this, and tries again itself.
      if (source.readyState === EventSource.CLOSED && source === this.#source) this.#retry = window.setTimeout(() => this.again(), 2000)
    }
  }

  #live(live: Live) {
    const missed = this.stale
    const history = new Map(this.links.map((l) => [l.id, l.history]))
    const at = new Date(live.at).getTime()
    this.links = live.links.map((l) => {
      const old = history.get(l.id) ?? []
      const last = old.at(-1)
      const fresh = !last || at - new Date(last.at).getTime() >= 1000
      return {...l, history: fresh ? [...old.slice(-300), {at: live.at, rttMs: l.rttMs, loss: l.loss}] : old}
    })
    this.rates = live.devices
    this.apps = live.apps
    this.flows = live.flows
    const sample: Sample = {at, down: {}, up: {}, rtt: {}}
    for (const l of live.links) {
      sample.down[l.name] = l.rateDown
      sample.up[l.name] = l.rateUp
      sample.rtt[l.name] = l.rttMs
    }
    const from = at - KEEP
    const start = this.samples.findIndex((s) => s.at > from)
    this.samples = [...this.samples.slice(start < 0 ? this.samples.length : start), sample]
    this.#heard()
    if (missed) void this.load()
  }

  #happened(e: RouterEvent) {
    this.events = [e, ...this.events].slice(0, 500)
    if (e.kind === 'device') void get('/devices').then((list) => (this.devices = list), () => {})
    if (e.kind === 'policy') {
      this.policyChanges++
      this.trialChanges++
    }
    if (e.severity !== 'info' || e.kind === 'link') void get('/status').then((s) => (this.status = s), () => {})
    for (const f of this.#listeners) f(e)
  }

  #heard() {
    this.lastData = Date.now()
    this.contact = 'fresh'
  }

  #look() {
    this.now = Date.now()
    if (this.contact === 'starting' && this.lastData === 0) this.lastData = this.now
    const quiet = this.now - this.lastData
    if (quiet >= GONE) this.contact = 'gone'
    else if (quiet >= LOOKING && this.contact !== 'starting') this.contact = 'looking'
    // Now and then by hand: a stream that hangs does not say so.
    if (quiet >= GONE && Math.round(quiet / 1000) % 10 === 0) this.again()
  }
}

export const house = new House()
