# One image for all processes; the command says which one it is. See deploy/docker/README.md.
ARG BASE_IMAGE=node:24.21.0-slim

# What the installation depends on, so that it is done again only where that has changed.
FROM ${BASE_IMAGE} AS manifests
WORKDIR /app
COPY . .
RUN find . -type f ! -name package.json ! -name 'pnpm-*.yaml' -delete

# The only stage that asks a registry: for what the lockfile says, without the tests' and the tools' packages.
FROM ${BASE_IMAGE} AS dependencies
WORKDIR /app
COPY --from=manifests /app ./
RUN npx --yes "$(node --print 'require("./package.json").packageManager')" install \
  --prod --frozen-lockfile --ignore-scripts

FROM ${BASE_IMAGE}
# Nothing here installs or builds. The folders are those of a volume, which takes their owner.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
    /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
  && mkdir -p /var/lib/qarr/files /var/lib/qarr/secrets \
  && chown -R 10001:10001 /var/lib/qarr
WORKDIR /app
COPY --from=dependencies /app ./
COPY . .
ENV NODE_ENV=production
USER 10001:10001
EXPOSE 8080 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "deploy/docker/healthcheck.mjs"]
LABEL org.opencontainers.image.title="QARR" \
  org.opencontainers.image.description="Queue-based inference in front of vLLM: API, batch runner, workers, simulator"
ENTRYPOINT ["node"]
CMD ["apps/api/src/main.ts"]
