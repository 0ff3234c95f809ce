# The operator's image: one static program and nothing else. `make docker-build` compiles the program first,
# so that no image has to be pulled to build this one.
FROM scratch
COPY django-operator /django-operator
USER 65532:65532
ENTRYPOINT ["/django-operator"]
CMD ["run"]
