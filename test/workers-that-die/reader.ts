/** A reader worker that ends its thread, for the test that a dead worker ends the run. */
export default function reader(): never {
  process.exit(3);
}
