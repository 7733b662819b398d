/*
 * What a page shows, said as data and brought onto the screen with as few changes as it takes.
 *
 * h('a.quiet', {href: '#/'}, 'text', [more]) describes an element. Text is text: nothing here ever reads markup, so a
 * model's or the exchange's words cannot become any. An element keeps its place, its focus and what was typed into it
 * as long as its description stays at its place, or carries the same `key`.
 *
 *   class, and any attribute; true is an empty attribute, false and null leave it out
 *   value, checked, selected   set as properties
 *   onclick, oninput …         handlers
 *   style                      an object of CSS properties (there are no style attributes)
 *   created                    (element) is called once it stands on the screen
 *   mount                      (element, props) → {update(props), close()}: for what draws itself, such as a chart
 */

const SVG = 'http://www.w3.org/2000/svg';
const PROPERTIES = new Set(['value', 'checked', 'selected', 'open', 'indeterminate']);
const OURS = new Set(['key', 'mount', 'created', 'style']);

export function h(kind, props, ...children) {
  const [tag, ...classes] = kind.split('.');
  const given = props ?? {};
  const all = [...classes, given.class].filter(Boolean).join(' ');
  return { tag, key: given.key, props: all ? { ...given, class: all } : given, children: flat(children) };
}

/** Bring *children* onto the screen as the content of *element*. */
export function render(element, children) {
  const wanted = flat([children]);
  if (!element._children) element.replaceChildren();
  patchChildren(element, element._children ?? [], wanted);
  element._children = wanted;
}

function flat(children) {
  const found = [];
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === true) continue;
    found.push(typeof child === 'object' ? child : { text: String(child) });
  }
  return found;
}

function create(node, parent) {
  if ('text' in node) return (node.dom = document.createTextNode(node.text));
  const inside = parent.namespaceURI === SVG && parent.localName !== 'foreignObject';
  const dom = node.tag === 'svg' || inside ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  node.dom = dom;
  patchChildren(dom, [], node.children);
  patchProps(dom, {}, node.props);
  if (node.props.mount) node.mounted = node.props.mount(dom, node.props);
  if (node.props.created) queueMicrotask(() => node.props.created(dom));
  return dom;
}

function patch(old, node) {
  const dom = (node.dom = old.dom);
  if ('text' in node) {
    if (old.text !== node.text) dom.nodeValue = node.text;
    return;
  }
  if (!node.props.mount) patchChildren(dom, old.children, node.children);
  patchProps(dom, old.props, node.props);
  node.mounted = old.mounted;
  node.mounted?.update?.(node.props);
}

function patchChildren(parent, olds, nodes) {
  const left = new Map(olds.map((old, place) => [nameOf(old, place), old]));
  const kept = nodes.map((node, place) => {
    const old = left.get(nameOf(node, place));
    if (old) left.delete(nameOf(node, place));
    return old;
  });
  // First away with what is gone: what stays is then already where it belongs, and keeps its focus.
  for (const old of left.values()) remove(old);
  let next = parent.firstChild;
  for (const [place, node] of nodes.entries()) {
    if (kept[place]) patch(kept[place], node);
    else create(node, parent);
    if (node.dom === next) next = next.nextSibling;
    else parent.insertBefore(node.dom, next);
  }
}

function nameOf(node, place) {
  return 'text' in node ? `#${place}` : `${node.tag} ${node.key ?? `#${place}`}`;
}

function remove(node) {
  close(node);
  node.dom.remove();
}

function close(node) {
  node.mounted?.close?.();
  for (const child of node.children ?? []) close(child);
}

function patchProps(dom, old, props) {
  for (const name of Object.keys(old)) {
    if (!(name in props) && !OURS.has(name)) set(dom, name, null);
  }
  for (const [name, value] of Object.entries(props)) {
    if (OURS.has(name)) continue;
    // What is typed into a field is newer than what we know: only a changed wish overwrites it.
    if (old[name] !== value) set(dom, name, value);
  }
  for (const [name, value] of Object.entries(props.style ?? {})) {
    if (old.style?.[name] !== value) dom.style.setProperty(name, value);
  }
}

function set(dom, name, value) {
  if (name.startsWith('on')) dom[name] = value;
  else if (PROPERTIES.has(name)) dom[name] = value ?? '';
  else if (value === null || value === undefined || value === false) dom.removeAttribute(name);
  else dom.setAttribute(name, value === true ? '' : value);
}
