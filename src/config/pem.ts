/**
 * Files of certificates and keys that the configuration names. Any thread.
 */
import { readFileSync } from 'node:fs';
import { AppError } from '../errors.js';

/**
 * @param key of the configuration, such as `source.ca_file`
 * @throws AppError IO
 */
export function readPem(key: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new AppError('IO', `${key} ${file} can't be read: ${(error as Error).message}`, {
      remedy: 'Give the path of a PEM file that this process may read.',
      cause: error,
    });
  }
}
