import { h } from '../dom.js';
export function costs() { return { title: 'costs', view: () => h('p', null, 'to come') }; }
