/** What the page says, in English and in Chinese. */

/** @typedef {"en" | "zh"} Language */

/** @type {Record<Language, {tag: string, name: string}>} */
export const LANGUAGES = {
  en: { tag: "en", name: "English" },
  zh: { tag: "zh-CN", name: "简体中文" },
};

/** @type {Language} */
let spoken = "en";

/** The language that the page speaks. @returns {Language} */
export function language() {
  return spoken;
}

/** Speak another language from now on. @param {Language} chosen */
export function speak(chosen) {
  spoken = chosen;
  document.documentElement.lang = LANGUAGES[chosen].tag;
}

/** The language that a person's browser asks for. @returns {Language} */
export function preferredLanguage() {
  const first = navigator.languages.find((tag) => /^(en|zh)/i.test(tag));
  return first?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/**
 * Return a function that gives the text of a key in the language of the page, with {names} filled in.
 *
 * @template {Record<string, string>} Texts
 * @param {{en: Texts, zh: Record<keyof Texts, string>}} both
 * @returns {(key: keyof Texts & string, values?: Record<string, string | number>) => string}
 */
export function texts(both) {
  return (key, values = {}) =>
    both[spoken][key].replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Write a number to three digits, as short as it can be said, with a real minus sign.
 *
 * @param {number} value
 * @param {number} [digits]
 */
export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e6)
      ? value.toExponential(digits - 1)
      : String(Number(value.toPrecision(size >= 1000 ? Math.max(digits, 4) : digits)));
  return text.replaceAll("-", "−");
}

/**
 * Write a fraction as a percentage that says 0 or 100 only where it is exactly that.
 *
 * @param {number} fraction
 */
export function percent(fraction) {
  if (fraction > 0 && fraction < 0.001) return "< 0.1 %";
  if (fraction < 1 && fraction > 0.999) return "> 99.9 %";
  return `${(100 * fraction).toFixed(1).replace(/\.0$/, "")} %`;
}

/**
 * Write the size of a map.
 *
 * @param {ArrayLike<number>} shape
 */
export function size(shape) {
  return Array.from(shape).join(" × ");
}
