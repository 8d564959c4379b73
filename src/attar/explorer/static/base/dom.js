/** Elements, made without markup in strings: text can never become code. */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Make an element.
 *
 * Properties that begin with "on" and are functions listen; `style` is an object of CSS properties, custom
 * ones too; `value`, `checked`, `disabled`, `selected`, `hidden` and `srcObject` are set as properties; true is an
 * empty attribute; false, null and undefined are none.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  set(element, properties);
  element.append(...children.flat().filter(isShown).map(asNode));
  return element;
}

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "srcObject"]);

/**
 * Set attributes, properties and listeners of an element, as `h` does.
 *
 * @param {HTMLElement | SVGElement} element
 * @param {Record<string, unknown>} properties
 */
export function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (name === "style" && typeof value === "object" && value !== null) {
      for (const [rule, worth] of Object.entries(value)) element.style.setProperty(rule, String(worth));
    } else if (PROPERTIES.has(name)) {
      Object.assign(element, { [name]: value });
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
}

/**
 * Make an SVG element.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | Child[])} children
 * @returns {SVGElement}
 */
export function svg(tag, properties = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS("http://www.w3.org/2000/svg", tag));
  set(element, properties);
  element.append(...children.flat().filter(isShown).map(asNode));
  return element;
}

/**
 * @param {Child} child
 * @returns {child is Node | string | number}
 */
function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

/** @param {Node | string | number} child */
function asNode(child) {
  return typeof child === "number" ? String(child) : child;
}

let counted = 0;

/**
 * Return an id that no other element of the page has.
 *
 * @param {string} [name]
 */
export function freshId(name = "id") {
  counted += 1;
  return `${name}-${counted}`;
}
