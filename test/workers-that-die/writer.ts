/** The real writer worker, beside a reader that dies. */
export { default } from '../../workers/writer.js';
