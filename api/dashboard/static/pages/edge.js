import { h } from '../dom.js';
export function edge() { return { title: 'edge', view: () => h('p', null, 'to come') }; }
