// Names and pictures of what the router knows, for people.
import type {Device, Flow, Link} from './api.ts'
import {title} from './format.ts'
import type {IconName} from './icons.ts'
import {said, t} from './text.svelte.ts'

export const linkName = (l: Link | string | undefined) => (l === undefined ? t('unknown') : title(typeof l === 'string' ? l : l.name))

/** linkIcon tells the kind of a link by its name and interface; the router does not say it otherwise. */
export function linkIcon(l: {name: string; device: string}): IconName {
  const words = `${l.name} ${l.device}`.toLowerCase()
  if (/\blte|\b[345]g\b|wwan|modem|mobile|stick|cell|ppp/.test(words)) return 'tower'
  if (/wi-?fi|wlan|wlp|wlx|neighbou?r|hotspot/.test(words)) return 'wifi'
  if (/sat|starlink/.test(words)) return 'globe'
  return 'plug'
}

const deviceWords: [RegExp, IconName][] = [
  [/camera|cam\b|doorbell|arlo/, 'cam'], [/printer|laserjet|epson|brother/, 'printer'], [/console|playstation|xbox|switch|nintendo|steam/, 'game'],
  [/\btv\b|television|chromecast|roku|firetv|samsung-tv|bravia/, 'tv'], [/tablet|ipad|\btab\b/, 'tablet'],
  [/phone|iphone|android|pixel|galaxy|xiaomi|redmi/, 'phone'], [/laptop|macbook|thinkpad|notebook|\bpc\b|desktop|imac|computer/, 'laptop'],
  [/server|nas|synology|\bpi\b|raspberry/, 'server'], [/speaker|sonos|echo|homepod/, 'music'],
]

/** deviceIcon guesses a device's kind by what it is called, by itself and by its maker. */
export function deviceIcon(d: Pick<Device, 'name' | 'hostname' | 'vendor'>): IconName {
  for (const words of [d.name, d.hostname, d.vendor]) {
    const w = (words ?? '').toLowerCase()
    const hit = deviceWords.find(([re]) => re.test(w))
    if (hit) return hit[1]
  }
  return 'device'
}

const categoryIcons: Record<string, IconName> = {
  calls: 'video', video: 'film', games: 'game', music: 'music', updates: 'dl', storage: 'server', messaging: 'msg', social: 'msg', education: 'book',
  knowledge: 'book', mail: 'msg', work: 'laptop', remote: 'laptop', home: 'home', p2p: 'dl', infrastructure: 'server', system: 'gear', vpn: 'lock', security: 'lock',
}
export const categoryIcon = (category: string): IconName => categoryIcons[category] ?? 'globe'
export const categoryName = (id: string) => said('category', id) ?? title(id)

// Names that are not written as their id with a capital.
const ownSpelling: Record<string, string> = {youtube: 'YouTube', whatsapp: 'WhatsApp', tiktok: 'TikTok', icloud: 'iCloud', paypal: 'PayPal', github: 'GitHub', gitlab: 'GitLab', linkedin: 'LinkedIn', onedrive: 'OneDrive', chatgpt: 'ChatGPT',
  bbc: 'BBC', imessage: 'iMessage', facetime: 'FaceTime', playstation: 'PlayStation', soundcloud: 'SoundCloud', hbo: 'HBO', ebay: 'eBay', bittorrent: 'BitTorrent'}
export const appName = (id: string) => ownSpelling[id] ?? title(id)

/** What a flow is called: its application, else its host, else its address. */
export function flowName(f: Pick<Flow, 'app' | 'host' | 'dst'>): string {
  if (f.app) return appName(f.app)
  return f.host || f.dst.replace(/:\d+$/, '')
}

export const deviceName = (d: Device | undefined, id = '') => (d ? d.name || title(d.id) : id ? title(id) : t('router'))
