// The router's API and its live stream. The rest of the page listens to `router` and reads what it holds.

import {t} from './text.js'

const BASE = '/api/v1'
const WINDOW = 120 // seconds of throughput that are kept
const LATE = 3000 // ms without data until we are looking for the router
const GONE = 15000 // ms until we say that it cannot be reached

/** What the router answered instead of a result. */
export class Refusal extends Error {
  constructor(message, status, problems) {
    super(message)
    this.status = status
    this.problems = problems ?? []
  }
}

/** Asks the API. query is an object; empty values are left out. body is sent as YAML. */
export async function ask(path, {method = 'GET', query = {}, body, signal} = {}) {
  const params = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== '' && v !== null && v !== undefined))
  const headers = body === undefined ? {} : {'Content-Type': 'application/yaml'}
  let response, data
  try {
    response = await fetch(BASE + path + (params.size ? '?' + params : ''), {method, headers, body, signal, cache: 'no-store'})
    data = await response.json()
  } catch (err) {
    if (signal?.aborted) throw err
    if (!response || response.ok) throw new Refusal(t('error.unreachable'), 0)
  }
  if (!response.ok) throw new Refusal(data?.message ?? t('error.answer', {code: response.status}), response.status, data?.problems)
  return data
}

/**
 * What the page knows by now. Events: "live" every second, "happened" with an event of the router, "status", "devices",
 * "connection" when it is lost or found again.
 */
class Router extends EventTarget {
  links = [] // schema Link, the newest
  status = null
  devices = []
  rates = {} // of devices by id
  flows = 0
  samples = [] // {at: ms, down: {link id: bits/s}, up: …}, at most WINDOW seconds of them
  heard = 0 // ms of our own clock when the last data came
  at = null // the router's clock in it
  connection = 'waiting' // waiting, live, late, gone

  start() {
    this.#open()
    this.#refresh()
    setInterval(() => this.#watch(), 500)
    setInterval(() => this.#refresh(), 5000)
    addEventListener('online', () => this.retry())
    document.addEventListener('visibilitychange', () => document.hidden || this.#refresh())
  }

  /** Connects again at once. */
  retry() {
    this.#open()
    this.#refresh()
  }

  linkByName = (name) => this.links.find((l) => l.name === name)
  deviceName = (id) => this.devices.find((d) => d.id === id)?.name ?? (id === 'router' ? t('flows.router') : id)
  get lost() { return this.connection === 'late' || this.connection === 'gone' }

  tell(type, detail) { this.dispatchEvent(new CustomEvent(type, {detail})) }

  #source = null
  #opened = 0

  #open() {
    this.#source?.close()
    this.#opened = Date.now()
    const source = new EventSource(BASE + '/live')
    source.addEventListener('live', (e) => this.#live(JSON.parse(e.data)))
    source.addEventListener('event', (e) => {
      this.tell('happened', JSON.parse(e.data))
      this.#refresh()
    })
    this.#source = source
  }

  #live(live) {
    const sample = {at: Date.parse(live.at), down: {}, up: {}}
    for (const l of live.links) {
      sample.down[l.id] = l.rateDown
      sample.up[l.id] = l.rateUp
    }
    // A clock that was set back would fold the chart over itself.
    const before = this.samples.at(-1)
    if (before && sample.at <= before.at) this.samples = []
    this.samples = this.samples.filter((s) => s.at > sample.at - (WINDOW + 2) * 1000)
    this.samples.push(sample)
    this.links = live.links
    this.rates = live.devices
    this.flows = live.flows
    this.at = new Date(live.at)
    this.heard = Date.now()
    this.#connected('live')
    this.tell('live')
  }

  #watch() {
    const quiet = Date.now() - Math.max(this.heard, 0)
    if (this.heard) this.#connected(quiet > GONE ? 'gone' : quiet > LATE ? 'late' : 'live')
    else if (this.connection === 'waiting' && Date.now() - this.#opened > LATE) this.#connected('gone')
    // The browser connects again by itself, but not after an answer that was an error.
    if (this.#source.readyState === EventSource.CLOSED && Date.now() - this.#opened > LATE) this.#open()
  }

  #connected(state) {
    if (state === this.connection) return
    this.connection = state
    this.tell('connection')
  }

  #asked = 0

  async #refresh() {
    if (document.hidden) return
    const turn = ++this.#asked
    try {
      const [status, devices] = await Promise.all([ask('/status'), ask('/devices')])
      if (turn !== this.#asked) return
      this.status = status
      this.devices = devices
      if (!this.links.length) this.links = status.links
      this.tell('status')
      this.tell('devices')
    } catch (err) {
      if (!(err instanceof Refusal)) throw err // the connection line tells the rest
    }
  }
}

export const router = new Router()

/** Listens while a view is shown. */
export function listen(signal, type, f) {
  router.addEventListener(type, (e) => f(e.detail), {signal})
}

/** Calls f now and every period (ms) while a view is shown and seen. f gets the signal; its refusals go to failed. */
export function poll(signal, period, f, failed = () => {}) {
  let busy = false
  const turn = async () => {
    if (busy || document.hidden || signal.aborted) return
    busy = true
    try {
      await f(signal)
    } catch (err) {
      if (!signal.aborted) failed(err)
    } finally {
      busy = false
    }
  }
  const timer = setInterval(turn, period)
  signal.addEventListener('abort', () => clearInterval(timer))
  turn()
  return turn
}
