import { h } from '../dom.js';
export function alerts() { return { title: 'alerts', view: () => h('p', null, 'to come') }; }
