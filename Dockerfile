# The command in a container:
#   docker build -t bulkhaul .
#   docker run --rm -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY -v "$PWD:/data" bulkhaul cp s3://bucket/key /data/
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
COPY docs docs
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels bulkhaul
RUN useradd --create-home bulkhaul
USER bulkhaul
WORKDIR /home/bulkhaul
ENTRYPOINT ["bulkhaul"]
CMD ["--help"]
