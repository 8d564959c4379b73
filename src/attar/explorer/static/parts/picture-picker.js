/**
 * <picture-picker>: choose a sample, open a file, drop or paste one, or take a picture with the camera.
 *
 * Event "picture" (detail: Picture) when there is another one.
 */

import { button, picklist } from "../base/controls.js";
import { h } from "../base/dom.js";
import { report } from "../base/notices.js";
import { server } from "../base/session.js";
import { texts } from "../base/text.js";

/** @typedef {{image: string, name: string, height: number, width: number, color: boolean}} Picture */

const t = texts({
  en: {
    picture: "Picture", own: "Your picture: {name}", open: "Open…", camera: "Camera…",
    hint: "Drop or paste a picture anywhere on the page.",
    take: "Take the picture", live: "Live", stop: "Stop", close: "Close", view: "What the camera sees",
    refused: "The camera cannot be used: {why}", large: "{name} is larger than {most} MB, the most that is taken.",
    coffee: "Coffee", car: "A car", circle: "A circle", dots: "Two dots", noise: "Noise",
  },
  zh: {
    picture: "图片", own: "你的图片：{name}", open: "打开…", camera: "摄像头…",
    hint: "可以把图片拖放或粘贴到页面的任何地方。",
    take: "拍照", live: "实时", stop: "停止", close: "关闭", view: "摄像头画面",
    refused: "无法使用摄像头：{why}", large: "{name} 超过 {most} MB，无法接收。",
    coffee: "咖啡", car: "小汽车", circle: "圆", dots: "两个点", noise: "噪声",
  },
});

const ACCEPT = "image/jpeg,image/png,image/webp,image/tiff,image/bmp,image/gif";

/**
 * Send a picture to the server.
 *
 * @param {Blob} blob
 * @param {string} name
 * @param {boolean} [passing] one of a film: the server keeps the last ones only
 * @returns {Promise<Picture>}
 */
export async function upload(blob, name, passing = false) {
  // The server refuses it too, but the browser would send all of it first.
  const most = server().hello.most.bytes;
  if (blob.size > most) throw new Error(t("large", { name, most: Math.floor(most / 1e6) }));
  const response = await server().post("/pictures", blob, {
    "X-File-Name": encodeURIComponent(name), ...(passing ? { "X-Passing": "1" } : {}),
  });
  return response.json();
}

export class PicturePicker extends HTMLElement {
  #image = "";
  #name = "";
  /** @type {AbortController | null} */
  #listening = null;
  /** @type {MediaStream | null} */
  #stream = null;

  /** Resolves when the room has shown the picture that it was given; a film goes on then. @type {() => Promise<void>} */
  seen = async () => {};

  connectedCallback() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    this.#draw();
    document.addEventListener("paste", (event) => this.#take(event.clipboardData?.files), { signal });
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.documentElement.classList.add("dropping");
    }, { signal });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.documentElement.classList.remove("dropping");
    }, { signal });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.documentElement.classList.remove("dropping");
      this.#take(event.dataTransfer?.files);
    }, { signal });
  }

  disconnectedCallback() {
    this.#listening?.abort();
    this.#shut();
  }

  /** The picture that is chosen. @param {{image: string, name?: string}} picture */
  set chosen({ image, name }) {
    this.#image = image;
    this.#name = name ?? server().hello.names[image] ?? image;
    if (this.isConnected) this.#draw();
  }

  #draw() {
    /** @type {string[]} */
    const samples = server().hello.samples;
    const options = samples.map((value) => ({ value, text: t(/** @type {"coffee"} */ (value)) }));
    if (!samples.includes(this.#image)) options.unshift({ value: this.#image, text: t("own", { name: this.#name }) });
    const file = h("input", {
      type: "file", accept: ACCEPT, hidden: true, onchange: () => this.#take(file.files),
    });
    this.replaceChildren(
      picklist({
        label: t("picture"), options, value: this.#image, name: "picture",
        onchange: (image) => this.#give({ image, name: image }),
      }),
      h("div", { class: "row" },
        button(t("open"), () => file.click(), { name: "open" }), file,
        button(t("camera"), () => this.#camera(), { name: "camera" })),
      h("p", { class: "hint" }, t("hint")),
    );
  }

  /** @param {{image: string, name: string}} picture */
  #give(picture) {
    this.chosen = picture;
    this.dispatchEvent(new CustomEvent("picture", { detail: picture }));
  }

  /** @param {FileList | null | undefined} files */
  async #take(files) {
    const file = Array.from(files ?? []).find((each) => each.type.startsWith("image/"));
    if (!file) return;
    try {
      this.#give(await upload(file, file.name));
    } catch (error) {
      report(error);
    }
  }

  // ---------------------------------------------------------------- the camera

  async #camera() {
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    } catch (error) {
      report(new Error(t("refused", { why: error instanceof Error ? error.message : String(error) })));
      return;
    }
    const video = h("video", { autoplay: true, playsinline: true, muted: true, srcObject: this.#stream, "aria-label": t("view") });
    let live = false;
    const dialog = h(
      "dialog", { class: "camera", "aria-label": t("camera"), onclose: () => { live = false; this.#shut(); dialog.remove(); } },
      video,
      h("div", { class: "row" },
        button(t("take"), async () => { await this.#shoot(video); dialog.close(); }, { class: "primary", name: "take" }),
        button(t("live"), async () => {
          live = true;
          // One picture after the other, each when the one before is seen.
          while (live && this.#stream && (await this.#shoot(video, true))) await this.seen();
        }, { name: "live" }),
        button(t("close"), () => dialog.close(), { name: "close" })),
    );
    document.body.append(dialog);
    dialog.show();
    dialog.querySelector("button")?.focus();
  }

  /** Send what the camera sees. @param {HTMLVideoElement} video @param {boolean} [passing] @returns {Promise<boolean>} */
  async #shoot(video, passing = false) {
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
      await new Promise((resolve) => video.addEventListener("loadeddata", resolve, { once: true }));
    }
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    const blob = await new Promise((/** @type {BlobCallback} */ resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    if (!blob) return false;
    try {
      const picture = await upload(blob, t("camera").replace("…", ""), passing);
      // Of a film that was closed meanwhile, none comes in the way of what is looked at now.
      if (passing && video.srcObject !== this.#stream) return false;
      this.#give(picture);
      return true;
    } catch (error) {
      report(error);
      return false;
    }
  }

  #shut() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }
}

customElements.define("picture-picker", PicturePicker);

/** Make a picker. @returns {PicturePicker} */
export function picturePicker() {
  return /** @type {PicturePicker} */ (document.createElement("picture-picker"));
}
