/* Browsers refuse workers to pages that are opened as files; there, a hidden frame does the search's work. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      window.addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const passed = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(passed);
        if (this.onmessage) this.onmessage(passed);
      });
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.onload = () => {
        this.ready = true;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      };
      this.frame.srcdoc = `<script>
        postMessage = parent.postMessage.bind(parent);
        importScripts = (...urls) => urls.reduce((earlier, url) => earlier.then(() => new Promise((done, failed) => {
          const script = Object.assign(document.createElement("script"), { src: url, onload: done, onerror: failed });
          document.body.appendChild(script);
        })), Promise.resolve());
      </script><body><script src="${url}"></script></body>`;
      document.body.appendChild(this.frame);
    }

    postMessage(data) {
      if (this.ready) this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data, source: window }));
      else this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
