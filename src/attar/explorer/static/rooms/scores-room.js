/** The room scores. */

class ScoresRoom extends HTMLElement {}

customElements.define("scores-room", ScoresRoom);
