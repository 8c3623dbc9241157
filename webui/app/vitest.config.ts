import {svelte} from '@sveltejs/vite-plugin-svelte'
import {defineConfig} from 'vitest/config'

// The parts without markup, in Node; what needs a browser is tested in one (e2e).
export default defineConfig({plugins: [svelte()], test: {include: ['test/**/*.test.ts'], environment: 'node', setupFiles: ['test/browser.ts']}})
