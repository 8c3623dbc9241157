// Questions to the router, typed by its specification.
import type {components, paths} from './schema.gen.ts'

export type Schemas = components['schemas']
export type Link = Schemas['Link']
export type Device = Schemas['Device']
export type Flow = Schemas['Flow']
export type Status = Schemas['Status']
export type Warning = Schemas['Warning']
export type RouterEvent = Schemas['Event']
export type Answer = Schemas['Answer']
export type Reason = Schemas['Reason']
export type Usage = Schemas['Usage']
export type Live = Schemas['Live']
export type Policy = Schemas['Policy']
export type PolicyCheck = Schemas['PolicyCheck']
export type Change = Schemas['Change']

type JSONOf<R> = R extends {responses: {200: {content: {'application/json': infer J}}}} ? J : never
type QueryOf<O> = O extends {parameters: {query?: infer Q}} ? Q : never
type GetPath = {[P in keyof paths]: paths[P] extends {get: {responses: {200: {content: {'application/json': unknown}}}}} ? P : never}[keyof paths]

const BASE = '/api/v1'
const PATIENCE = 20_000 // ms until a question that nobody answers is given up

/** Why a question was not answered. status 0: the router could not be reached. */
export class Refusal extends Error {
  constructor(readonly status: number, message: string, readonly problems: string[] = [], readonly code = '', readonly retry = 0) {
    super(message)
  }
}

type Query = Record<string, string | number | boolean | undefined | null | (string | number)[]>

export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== null && value !== '') search.set(name, String(value))
  const tail = search.toString()
  return BASE + path + (tail ? '?' + tail : '')
}

export interface AskOptions {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  query?: Query
  json?: unknown
  text?: string // sent as YAML
  form?: FormData
  signal?: AbortSignal
  patience?: number
}

/** What is told when a session has ended; the shell then shows the way in. */
export const gate = {closed: () => {}}

export async function ask<T>(path: string, o: AskOptions = {}): Promise<T> {
  const timeout = AbortSignal.timeout(o.patience ?? PATIENCE)
  let response: Response
  try {
    response = await fetch(address(path, o.query), {
      method: o.method ?? 'GET',
      headers: o.json !== undefined ? {'Content-Type': 'application/json'} : o.text !== undefined ? {'Content-Type': 'application/yaml'} : undefined,
      body: o.json !== undefined ? JSON.stringify(o.json) : (o.form ?? o.text),
      signal: o.signal ? AbortSignal.any([o.signal, timeout]) : timeout,
      credentials: 'same-origin',
      cache: 'no-store',
    })
  } catch (err) {
    if (o.signal?.aborted) throw err
    throw new Refusal(0, '')
  }
  if (response.ok && response.headers.get('Content-Type')?.match(/octet-stream|gzip/)) return (await response.blob()) as T
  const body: unknown = response.headers.get('Content-Type')?.includes('json') ? await response.json().catch(() => null) : null
  if (!response.ok) {
    const said = body as {message?: string; problems?: string[]; code?: string; retryMs?: number} | null
    if (response.status === 401 || said?.code === 'setup-needed') gate.closed()
    throw new Refusal(response.status, said?.message ?? '', said?.problems ?? [], said?.code, said?.retryMs)
  }
  return body as T
}

export function get<P extends GetPath>(path: P, query?: QueryOf<paths[P]['get']>, signal?: AbortSignal): Promise<JSONOf<paths[P]['get']>> {
  return ask(path as string, {query: query as Query | undefined, signal})
}
