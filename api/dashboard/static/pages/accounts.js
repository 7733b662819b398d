import { h } from '../dom.js';
export function accounts() { return { title: 'accounts', view: () => h('p', null, 'to come') }; }
