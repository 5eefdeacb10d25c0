// The viewer of the report: cuts three planes and the error maps out of a subject's volumes.
// A volume is one picture of all its axial slices (see volumes.py). Without this script the
// page shows still pictures instead; they are also what is printed.
(() => {
  "use strict";

  const BIT_STEP = 32, COVERED = 2, LESION = 4;
  // Axis across the picture, axis up the picture, axis looked along; 0 right, 1 anterior, 2 superior.
  const PLANES = {
    axial: { across: 0, up: 1, along: 2, side: "L" },
    coronal: { across: 0, up: 2, along: 1, side: "L" },
    sagittal: { across: 1, up: 2, along: 0, side: "P" },
  };
  const GAP = 4;
  const INK = { lesion: "#f0e442", lesionOnError: "#000", cross: "#56b4e9", text: "#fff" };

  // A pixel as one number: red in the lowest byte, on every machine a browser runs on.
  const packed = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const GRAYS = Uint32Array.from({ length: 256 }, (_, level) => packed([level, level, level]));
  const numbers = (text) => text.split(" ").map(Number);

  async function levels(uri, shape, columns) {
    const picture = new Image();
    picture.src = uri;
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = picture.width;
    canvas.height = picture.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const [nx, ny, nz] = shape;
    const volume = new Uint8Array(nx * ny * nz);
    for (let z = 0; z < nz; z++) {
      const left = (z % columns) * nx, top = Math.floor(z / columns) * ny;
      for (let y = 0; y < ny; y++) {
        const from = (top + y) * canvas.width + left, to = (z * ny + y) * nx;
        for (let x = 0; x < nx; x++) volume[to + x] = pixels[4 * (from + x)];
      }
    }
    return volume;
  }

  // Colors of the error maps at 256 levels, between the anchors that Python gives.
  function palette(anchors) {
    const known = anchors.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return Uint32Array.from({ length: 256 }, (_, level) => {
      const place = (level / 255) * (known.length - 1), low = Math.floor(place);
      const high = Math.min(low + 1, known.length - 1), part = place - low;
      return packed(known[low].map((value, i) => Math.round(value + part * (known[high][i] - value))));
    });
  }

  class Viewer {
    constructor(root) {
      this.root = root;
      this.shape = numbers(root.dataset.shape);
      this.steps = [1, this.shape[0], this.shape[0] * this.shape[1]];
      this.spacing = numbers(root.dataset.spacing);
      this.origin = numbers(root.dataset.origin);
      this.at = numbers(root.dataset.start);
      this.limit = Number(root.dataset.limit);
      this.colors = palette(root.dataset.colors.split(" "));
      this.panes = [...root.querySelectorAll("figure[data-volume]")].map((figure) => ({
        figure, canvas: figure.querySelector("canvas"), made: figure.dataset.kind === "synthetic",
      }));
      this.scratch = document.createElement("canvas");
      this.control = (name) => root.querySelector(`[data-control="${name}"]`);
    }

    async load() {
      const columns = Number(this.root.dataset.columns);
      const read = (uri) => levels(uri, this.shape, columns);
      const uris = [this.root.dataset.mask, ...this.panes.map((p) => p.figure.dataset.volume)];
      const [mask, ...volumes] = await Promise.all(uris.map(read));
      this.mask = mask.map((value) => Math.round(value / BIT_STEP));
      this.panes.forEach((pane, i) => { pane.volume = volumes[i]; });
      this.truth = this.panes.find((pane) => pane.figure.dataset.kind === "acquired").volume;
      this.connect();
      this.root.hidden = false;
      this.root.closest(".subject").classList.add("live");
      this.refresh();
    }

    connect() {
      ["x", "y", "z"].forEach((name, axis) => {
        const slider = this.control(name);
        slider.addEventListener("input", () => { this.at[axis] = Number(slider.value); this.refresh(); });
      });
      this.root.addEventListener("change", () => this.refresh());
      this.control("zoom").addEventListener("input", () => this.refresh());
      const follow = (event) => { if (event.buttons === 1 && event.pointerType === "mouse") this.point(event); };
      for (const { canvas } of this.panes) {
        canvas.addEventListener("click", (event) => this.point(event));
        canvas.addEventListener("pointermove", follow);
      }
      new ResizeObserver(() => this.draw()).observe(this.root);
    }

    chosen(group) {
      return this.root.querySelector(`[data-control="${group}"]:checked`).value;
    }

    // Voxel under the pointer becomes the one where the planes meet.
    point(event) {
      const box = event.currentTarget.getBoundingClientRect();
      const px = event.clientX - box.left, py = event.clientY - box.top;
      const pane = this.panes.find(({ canvas }) => canvas === event.currentTarget);
      const hit = pane.tiles.find(
        (t) => px >= t.x && px < t.x + t.width && py >= t.y && py < t.y + t.height,
      );
      if (!hit) return;
      const { across, up } = hit.plane, view = this.window(hit.plane);
      this.move(across, Math.floor(view.x + ((px - hit.x) / hit.width) * view.width));
      this.move(up, this.shape[up] - 1 - Math.floor(view.y + ((py - hit.y) / hit.height) * view.height));
      this.refresh();
    }

    move(axis, value) {
      this.at[axis] = Math.min(Math.max(value, 0), this.shape[axis] - 1);
    }

    // Part of a plane that is shown, in pixels from its upper left corner.
    window({ across, up }) {
      const zoom = Number(this.control("zoom").value);
      const width = this.shape[across] / zoom, height = this.shape[up] / zoom;
      const place = (middle, part, whole) => Math.min(Math.max(middle - part / 2, 0), whole - part);
      return {
        x: place(this.at[across] + 0.5, width, this.shape[across]),
        y: place(this.shape[up] - this.at[up] - 0.5, height, this.shape[up]),
        width, height,
      };
    }

    refresh() {
      ["x", "y", "z"].forEach((name, axis) => {
        const mm = Math.round(this.origin[axis] + this.at[axis] * this.spacing[axis]);
        const text = `${name} = ${mm} mm`.replace("-", "\u2212");
        this.control(name).value = this.at[axis];
        this.control(name).setAttribute("aria-valuetext", text);
        this.root.querySelector(`[data-output="${name}"]`).textContent = text;
      });
      const zoom = this.control("zoom").value;
      this.root.querySelector('[data-output="zoom"]').textContent = `${zoom} ×`;
      this.root.dataset.planes = this.chosen("planes");
      this.draw();
    }

    draw() {
      if (!this.mask || !this.root.offsetWidth) return;
      const planes = this.chosen("planes") === "all" ? Object.keys(PLANES) : [this.chosen("planes")];
      const show = this.chosen("show");
      for (const pane of this.panes) this.drawPane(pane, planes.map((name) => PLANES[name]), show);
    }

    drawPane(pane, planes, show) {
      const mm = (axis) => this.shape[axis] * this.spacing[axis];
      const width = pane.figure.clientWidth;
      const scale = (width - GAP * (planes.length - 1)) / planes.reduce((sum, p) => sum + mm(p.across), 0);
      const tall = Math.max(...planes.map((p) => mm(p.up))) * scale;
      const rows = [];
      if (show !== "errors" || !pane.made) rows.push(false);
      if (show !== "images" && pane.made) rows.push(true);
      const height = tall * rows.length + GAP * (rows.length - 1), ratio = window.devicePixelRatio || 1;
      pane.canvas.width = Math.round(width * ratio);
      pane.canvas.height = Math.round(height * ratio);
      pane.canvas.style.height = `${height}px`;
      const context = pane.canvas.getContext("2d");
      context.scale(ratio, ratio);
      pane.tiles = [];
      rows.forEach((isError, row) => {
        let x = 0;
        const y = row * (tall + GAP);
        context.fillStyle = isError ? "#fff" : "#000";
        context.fillRect(0, y, width, tall);
        for (const plane of planes) {
          const size = { width: mm(plane.across) * scale, height: mm(plane.up) * scale };
          const tile = { plane, isError, x, y: y + (tall - size.height) / 2, ...size };
          this.drawTile(context, pane, tile);
          pane.tiles.push(tile);
          x += size.width + GAP;
        }
      });
    }

    drawTile(context, pane, tile) {
      const view = this.window(tile.plane);
      const section = this.section(pane, tile);
      this.scratch.width = section.width;
      this.scratch.height = section.height;
      this.scratch.getContext("2d").putImageData(section, 0, 0);
      context.save();
      context.beginPath();
      context.rect(tile.x, tile.y, tile.width, tile.height);
      context.clip();
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(
        this.scratch, view.x, view.y, view.width, view.height, tile.x, tile.y, tile.width, tile.height,
      );
      // From here on one unit is one pixel of the section.
      context.translate(tile.x, tile.y);
      const unit = [tile.width / view.width, tile.height / view.height];
      const to = (px, py) => [(px - view.x) * unit[0], (py - view.y) * unit[1]];
      if (this.control("lesion")?.checked) this.outline(context, tile, to);
      if (this.control("cross").checked) this.cross(context, tile, to);
      context.fillStyle = tile.isError ? "#1d2430" : INK.text;
      context.font = "10px system-ui, sans-serif";
      context.fillText(tile.plane.side, 4, 12);
      context.restore();
    }

    index(plane, column, row) {
      const { across, up, along } = plane, step = this.steps;
      return column * step[across] + (this.shape[up] - 1 - row) * step[up] + this.at[along] * step[along];
    }

    section(pane, { plane, isError }) {
      const width = this.shape[plane.across], height = this.shape[plane.up];
      const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
      const half = 127.5 / (255 * this.limit);
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          const from = this.index(plane, column, row), to = row * width + column;
          if (!isError) {
            pixels[to] = GRAYS[pane.volume[from]];
          } else if (this.mask[from] & COVERED) {
            const level = 127.5 + half * (pane.volume[from] - this.truth[from]);
            pixels[to] = this.colors[Math.round(Math.min(Math.max(level, 0), 255))];
          } else {
            pixels[to] = GRAYS[255];
          }
        }
      }
      return image;
    }

    // Along the edges of the lesion's pixels.
    outline(context, { plane, isError }, to) {
      const width = this.shape[plane.across], height = this.shape[plane.up];
      const inside = (c, r) => c >= 0 && r >= 0 && c < width && r < height
        && (this.mask[this.index(plane, c, r)] & LESION) !== 0;
      context.beginPath();
      for (let r = 0; r <= height; r++) {
        for (let c = 0; c <= width; c++) {
          const here = inside(c, r);
          if (here !== inside(c - 1, r)) { context.moveTo(...to(c, r)); context.lineTo(...to(c, r + 1)); }
          if (here !== inside(c, r - 1)) { context.moveTo(...to(c, r)); context.lineTo(...to(c + 1, r)); }
        }
      }
      context.lineWidth = 1.25;
      context.strokeStyle = isError ? INK.lesionOnError : INK.lesion;
      context.stroke();
    }

    cross(context, { plane, width, height }, to) {
      const [x, y] = to(this.at[plane.across] + 0.5, this.shape[plane.up] - this.at[plane.up] - 0.5);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.moveTo(0, y);
      context.lineTo(width, y);
      context.lineWidth = 0.8;
      context.globalAlpha = 0.7;
      context.strokeStyle = INK.cross;
      context.stroke();
      context.globalAlpha = 1;
    }
  }

  // Pictures are unpacked only when the reader comes near them.
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      const viewer = new Viewer(target.querySelector(".viewer"));
      viewer.load().catch((error) => console.error("the still pictures stay:", error));
    }
  }, { rootMargin: "600px" });
  document.querySelectorAll(".subject").forEach((subject) => near.observe(subject));
})();
