import { h } from '../dom.js';
export function performance() { return { title: 'performance', view: () => h('p', null, 'to come') }; }
