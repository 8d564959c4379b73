/** The room model. */

class ModelRoom extends HTMLElement {}

customElements.define("model-room", ModelRoom);
