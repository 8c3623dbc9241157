// Which screen is shown: the address behind the # sign, as in "#/people/laptop".

export interface Route {
  screen: string
  rest: string[]
  query: URLSearchParams
}

export function parse(hash: string): Route {
  const [path, search = ''] = hash.replace(/^#\/?/, '').split('?')
  const parts = path.split('/').filter(Boolean).map((p) => {
    try {
      return decodeURIComponent(p)
    } catch {
      return p
    }
  })
  return {screen: parts[0] ?? 'home', rest: parts.slice(1), query: new URLSearchParams(search)}
}

class Here {
  route = $state.raw<Route>(parse(location.hash))
  constructor() {
    addEventListener('hashchange', () => (this.route = parse(location.hash)))
  }
}
export const here = new Here()

export function to(...parts: string[]): string {
  return '#/' + parts.map(encodeURIComponent).join('/')
}

export function go(...parts: string[]) {
  location.hash = to(...parts)
}
