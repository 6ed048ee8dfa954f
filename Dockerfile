# Builds from the repository alone. The image holds the server alone (`dateline-server`, without the command line)
# and no shell tools beyond Debian's slim base; it runs as a user of its own and needs a Postgres, which docker-compose.yml starts beside it.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /dateline
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/dateline/target \
    cargo build --release --locked --package dateline-serve \
    && cp target/release/dateline-server /usr/local/bin/dateline-server && strip /usr/local/bin/dateline-server

FROM debian:bookworm-slim
# The authorities that are believed when keys of an issuer or a bucket are asked for by https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
RUN groupadd --gid 10001 dateline \
    && useradd --uid 10001 --gid dateline --home-dir /var/lib/dateline --no-create-home --no-log-init dateline \
    && install --directory --owner dateline --group dateline --mode 0700 /var/lib/dateline
COPY --from=build /usr/local/bin/dateline-server /usr/local/bin/dateline-server
USER 10001:10001
ENV DATELINE_LISTEN=0.0.0.0:7400 \
    DATELINE_ALLOW_PLAINTEXT=true \
    DATELINE_METRICS_LISTEN=0.0.0.0:7401 \
    DATELINE_LOG_FORMAT=json
EXPOSE 7400 7401
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["dateline-server", "health", "--server", "127.0.0.1:7400"]
ENTRYPOINT ["dateline-server"]
CMD ["serve"]
