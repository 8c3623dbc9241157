// The few things of a browser that the pure parts ask for when they are loaded.
import {vi} from 'vitest'

vi.stubGlobal('matchMedia', () => ({matches: false, addEventListener: () => {}}))
vi.stubGlobal('location', {hash: ''})
vi.stubGlobal('addEventListener', () => {})
