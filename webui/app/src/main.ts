import {mount} from 'svelte'
import App from './App.svelte'
import {begin} from './lib/text.svelte.ts'
import {look} from './lib/theme.svelte.ts'
import './styles/tokens.css'
import './styles/base.css'

look.begin()
void begin().then(() => mount(App, {target: document.getElementById('app')!}))
