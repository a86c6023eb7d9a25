import { find } from './qrfind.js';

const most = 1400; // pixels a side: more takes longer and finds no more

// scan reads the QR code of a picture's file, in the browser; the picture
// never leaves it.
export async function scan(file) {
  const image = await createImageBitmap(file);
  for (const side of [Math.min(most, Math.max(image.width, image.height)), 700, 400]) {
    const scale = Math.min(1, side / Math.max(image.width, image.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const grey = new Uint8Array(canvas.width * canvas.height);
    for (let i = 0; i < grey.length; i++) grey[i] = (rgba[4 * i] * 3 + rgba[4 * i + 1] * 6 + rgba[4 * i + 2]) / 10;
    const text = find(grey, canvas.width, canvas.height);
    if (text) return text;
    await new Promise((next) => { setTimeout(next, 0); });
  }
  return null;
}
