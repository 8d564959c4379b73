/** The room invariance. */

class InvarianceRoom extends HTMLElement {}

customElements.define("invariance-room", InvarianceRoom);
