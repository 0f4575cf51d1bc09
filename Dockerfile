# syntax=docker/dockerfile:1
# Builds the image of mssql-pg-migrate: a batch job, so there is no HEALTHCHECK; its exit code is the answer.
#
#   docker build -t mssql-pg-migrate .
#   docker run --rm --read-only --tmpfs /tmp -v ./config.yaml:/config/config.yaml:ro \
#     -e MSSQL_PASSWORD -e POSTGRES_PASSWORD mssql-pg-migrate -c /config/config.yaml run
ARG NODE_VERSION=24

# Compiles TypeScript; nothing of this stage but dist/ gets any further.
FROM node:${NODE_VERSION}-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# The packages' install scripts belong to the tests' PostgreSQL, which the compiler does not need.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
COPY workers workers
RUN npx tsc -p tsconfig.json --incremental false --declaration false --sourceMap false

# What runs needs, and no more: TypeScript, a peer of valibot, is for its types only.
FROM node:${NODE_VERSION}-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund

FROM node:${NODE_VERSION}-bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mssql-pg-migrate" \
      org.opencontainers.image.description="Moves Microsoft SQL Server databases into PostgreSQL" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /build/dist/src dist/src
COPY --from=build /build/dist/workers dist/workers
COPY package.json ./
# A number, so that Kubernetes can see that it is not root's. The root file system may be read-only: large
# values are spooled to /tmp, which then has to be a volume or a tmpfs.
USER 1000:1000
# No shell between: the signals of `docker stop` and of Kubernetes reach the process itself, which then ends
# its run so that it can be resumed.
ENTRYPOINT ["node", "/app/dist/src/cli.js"]
CMD ["--help"]
