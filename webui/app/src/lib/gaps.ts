// When a link was off, told from events and its state. Pure.
import type {Link, RouterEvent} from './api.ts'

export interface Gap {
  from: number
  to: number
}

/** Spans in [from, to) in which the link was off or could not be used, oldest first. Events are the newest first. */
export function gapsOf(link: Pick<Link, 'name' | 'usable' | 'since'>, events: RouterEvent[], from: number, to: number): Gap[] {
  const mine = events.filter((e) => e.kind === 'link' && e.subject === link.name).map((e) => ({at: new Date(e.at).getTime(), off: / is (down|captive)\b/.test(e.text)})).sort((a, b) => a.at - b.at)
  const out: Gap[] = []
  let since = -1
  for (const e of mine) {
    if (e.off && since < 0) since = e.at
    else if (!e.off && since >= 0) {
      out.push({from: since, to: e.at})
      since = -1
    }
  }
  if (since >= 0 || !link.usable) out.push({from: since >= 0 ? since : new Date(link.since).getTime(), to})
  return out.filter((g) => g.to > from && g.from < to).map((g) => ({from: Math.max(g.from, from), to: Math.min(g.to, to)}))
}
