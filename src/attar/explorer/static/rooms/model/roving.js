/** One stop of the Tab key for many buttons: arrows go from one to the next. */

/**
 * Listen to the arrow keys.
 *
 * @param {HTMLElement} around
 * @param {() => HTMLElement[]} stops in order
 * @param {() => number} columns how many stand in a row
 */
export function rove(around, stops, columns = () => 1) {
  around.addEventListener("keydown", (event) => {
    const all = stops();
    const at = all.findIndex((each) => each === document.activeElement);
    if (at < 0) return;
    const row = columns();
    const to = {
      ArrowUp: at - row, ArrowDown: at + row, Home: 0, End: all.length - 1,
      ...(row > 1 ? { ArrowLeft: at - 1, ArrowRight: at + 1 } : {}),
    }[event.key];
    const next = to === undefined ? undefined : all[to];
    if (to === undefined) return;
    event.preventDefault();
    if (!next) return;
    only(all, next);
    next.focus();
  });
}

/** Scroll something so that one of its parts can be seen; the page stays where it is. @param {HTMLElement} around @param {HTMLElement} part */
export function intoSight(around, part) {
  const top = part.offsetTop;
  const bottom = top + part.offsetHeight;
  if (top < around.scrollTop || bottom > around.scrollTop + around.clientHeight) {
    around.scrollTop = (top + bottom - around.clientHeight) / 2;
  }
}

/** Make one of the buttons the stop of the Tab key. @param {HTMLElement[]} all @param {HTMLElement | undefined} one */
export function only(all, one) {
  const stop = one ?? all[0];
  for (const each of all) each.tabIndex = each === stop ? 0 : -1;
}
