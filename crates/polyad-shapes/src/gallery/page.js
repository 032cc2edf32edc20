'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const take = (id) => {
    const element = byId(id);
    const value = JSON.parse(element.textContent);
    element.remove(); // The text is large, and no longer needed.
    return value;
  };
  const neighbours = take('neighbours');
  const pictures = take('pictures');
  const shapes = take('shapes').map(([paths, diagonal, triangles, picture], place) => ({
    place, paths, diagonal, triangles, picture, text: paths.join('\n').toLowerCase(),
  }));

  const grid = byId('grid');
  const detail = byId('detail');
  const input = (id) => byId(id);
  const GAP = 12;
  const WIDTH = 160;
  const CAPTION = 58;
  const numbers = new Intl.NumberFormat();
  const lengths = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });
  const names = new Intl.Collator(undefined, { numeric: true });
  const orders = {
    name: (a, b) => names.compare(a.paths[0], b.paths[0]),
    size: (a, b) => (a.diagonal ?? Infinity) - (b.diagonal ?? Infinity) || orders.name(a, b),
    triangles: (a, b) => (a.triangles ?? Infinity) - (b.triangles ?? Infinity) || orders.name(a, b),
  };
  let sorted = [];
  let shown = [];
  let focused = 0;
  let layout = { columns: 1, width: WIDTH, height: WIDTH + CAPTION };

  const source = (shape) => 'data:image/png;base64,' + pictures[shape.picture];
  const size = (shape) => (shape.diagonal === null ? 'unknown' : lengths.format(shape.diagonal));

  // Names are only ever set as text.
  function card(shape, score) {
    const link = document.createElement('a');
    link.className = 'card';
    link.href = '#shape-' + shape.place;
    link.setAttribute('role', 'listitem');
    link.title = shape.paths.join('\n');
    const picture = document.createElement('img');
    picture.alt = '';
    picture.src = source(shape);
    const caption = document.createElement('div');
    const name = document.createElement('b');
    const more = document.createElement('small');
    const cut = shape.paths[0].lastIndexOf('/') + 1;
    name.textContent = shape.paths[0].slice(cut);
    const copies = shape.paths.length > 1 ? `+${shape.paths.length - 1} equal · ` : '';
    more.textContent = score === undefined ? copies + (shape.paths[0].slice(0, cut) || size(shape)) : score.toFixed(3);
    caption.append(name, more);
    link.append(picture, caption);
    return link;
  }

  function measure() {
    const room = grid.clientWidth;
    const columns = Math.max(1, Math.floor((room + GAP) / (WIDTH + GAP)));
    const width = (room - GAP * (columns - 1)) / columns;
    layout = { columns, width, height: width + CAPTION };
    grid.style.height = Math.ceil(shown.length / columns) * (layout.height + GAP) + 'px';
  }

  // Only the rows on the screen, and one above and below, are elements.
  function draw() {
    const { columns, width, height } = layout;
    const top = grid.getBoundingClientRect().top;
    const row = (y) => Math.floor((y - top) / (height + GAP));
    const from = Math.max(0, row(0) - 1) * columns;
    const to = Math.min(shown.length, (row(innerHeight) + 2) * columns);
    const old = new Map([...grid.children].map((element) => [Number(element.dataset.at), element]));
    for (let at = from; at < to; at++) {
      let element = old.get(at);
      old.delete(at);
      if (!element) {
        element = card(shown[at]);
        element.dataset.at = at;
        grid.append(element);
      }
      element.tabIndex = at === focused ? 0 : -1;
      element.style.width = width + 'px';
      element.style.height = height + 'px';
      element.style.left = (at % columns) * (width + GAP) + 'px';
      element.style.top = Math.floor(at / columns) * (height + GAP) + 'px';
    }
    for (const [at, element] of old) {
      if (element !== document.activeElement || at >= shown.length) element.remove();
    }
  }

  function redraw() {
    grid.replaceChildren();
    measure();
    draw();
  }

  function range(name, value) {
    const from = input(name + '-from').value;
    const to = input(name + '-to').value;
    if (from === '' && to === '') return true;
    return value !== null && (from === '' || value >= Number(from)) && (to === '' || value <= Number(to));
  }

  function filter() {
    const words = input('text').value.toLowerCase().split(/\s+/);
    shown = sorted.filter((shape) => words.every((word) => shape.text.includes(word))
      && range('size', shape.diagonal) && range('triangles', shape.triangles));
    focused = 0;
    const files = shown.reduce((sum, shape) => sum + shape.paths.length, 0);
    byId('count').textContent = shown.length === 0 ? 'No shape matches.'
      : `${numbers.format(shown.length)} of ${numbers.format(shapes.length)} shapes, ${numbers.format(files)} files`;
    scrollTo(0, 0);
    redraw();
  }

  function order() {
    sorted = [...shapes].sort(orders[input('order').value]);
    filter();
  }

  function focusAt(at) {
    focused = Math.max(0, Math.min(shown.length - 1, at));
    const { columns, height } = layout;
    const top = grid.getBoundingClientRect().top + Math.floor(focused / columns) * (height + GAP);
    const bar = document.querySelector('header').offsetHeight + GAP;
    if (top < bar) scrollBy(0, top - bar);
    else if (top + height > innerHeight) scrollBy(0, top + height + GAP - innerHeight);
    draw();
    grid.querySelector(`[data-at="${focused}"]`)?.focus({ preventScroll: true });
  }

  // The address names the open shape, so the back button goes back.
  function route() {
    const shape = shapes[Number(/^#shape-(\d+)$/.exec(location.hash)?.[1])];
    if (!shape) {
      if (detail.open) detail.close();
      return;
    }
    byId('detail-picture').src = source(shape);
    byId('detail-name').textContent = shape.paths[0];
    byId('detail-size').textContent = shape.diagonal === null ? 'unknown' : size(shape) + ' (diagonal, file units)';
    byId('detail-triangles').textContent = shape.triangles === null ? 'none' : numbers.format(shape.triangles);
    byId('similar-size').hidden = shape.diagonal === null;
    byId('similar-size').onclick = () => {
      input('size-from').value = Number((shape.diagonal * 0.9).toPrecision(6));
      input('size-to').value = Number((shape.diagonal * 1.1).toPrecision(6));
      location.hash = '';
      filter();
    };
    byId('detail-paths').replaceChildren(...shape.paths.slice(1).map((path) => {
      const item = document.createElement('li');
      item.textContent = 'equal: ' + path;
      return item;
    }));
    byId('neighbours-grid').replaceChildren(...neighbours[shape.place].map(([place, score]) => card(shapes[place], score)));
    if (!detail.open) detail.showModal();
    detail.scrollTop = 0;
    detail.querySelector('#neighbours-grid .card')?.focus({ preventScroll: true });
  }

  grid.addEventListener('keydown', (event) => {
    const { columns, height } = layout;
    const page = columns * Math.max(1, Math.floor(innerHeight / (height + GAP)) - 1);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: page, PageUp: -page,
      Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    focusAt(Number(event.target.closest('.card').dataset.at) + steps[event.key]);
  });
  grid.addEventListener('focusin', (event) => { focused = Number(event.target.closest('.card').dataset.at); });
  addEventListener('keydown', (event) => {
    if (event.key !== '/' || detail.open || event.target.closest('input, select')) return;
    event.preventDefault();
    input('text').focus();
  });
  byId('filters').addEventListener('input', (event) => (event.target.id === 'order' ? order() : filter()));
  byId('filters').addEventListener('submit', (event) => event.preventDefault());
  byId('filters').addEventListener('reset', () => setTimeout(order));
  byId('close').addEventListener('click', () => detail.close());
  detail.addEventListener('click', (event) => { if (event.target === detail) detail.close(); });
  detail.addEventListener('close', () => {
    if (location.hash !== '') location.hash = '';
    focusAt(focused);
  });
  addEventListener('hashchange', route);
  addEventListener('scroll', () => requestAnimationFrame(draw), { passive: true });
  addEventListener('resize', redraw);
  order();
  route();
})();
