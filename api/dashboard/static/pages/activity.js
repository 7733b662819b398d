import { h } from '../dom.js';
export function activity() { return { title: 'activity', view: () => h('p', null, 'to come') }; }
