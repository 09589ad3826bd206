package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

const answerBytesMax = 1 << 20

// ofrepProvider is an OpenFeature provider that asks an OFREP server for each evaluation. It serves where the
// modules of go-sdk-contrib cannot be had; an application takes its provider of the same name instead.
type ofrepProvider struct {
	baseURL string
	client  http.Client
}

func newOFREPProvider(baseURL string) *ofrepProvider {
	return &ofrepProvider{baseURL: baseURL, client: http.Client{Timeout: 500 * time.Millisecond}}
}

// evaluate leaves the caller's default wherever there is no answer of the right type.
func evaluate[T any](ctx context.Context, p *ofrepProvider, flag string, fallback T,
	attributes openfeature.FlattenedContext) openfeature.GenericResolutionDetail[T] {
	failed := func(why openfeature.ResolutionError) openfeature.GenericResolutionDetail[T] {
		return openfeature.GenericResolutionDetail[T]{Value: fallback, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
			ResolutionError: why, Reason: openfeature.ErrorReason}}
	}
	body, err := json.Marshal(map[string]any{"context": attributes})
	if err != nil {
		return failed(openfeature.NewInvalidContextResolutionError(err.Error()))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		p.baseURL+"/ofrep/v1/evaluate/flags/"+url.PathEscape(flag), bytes.NewReader(body))
	if err != nil {
		return failed(openfeature.NewGeneralResolutionError(err.Error()))
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := p.client.Do(request)
	if err != nil {
		return failed(openfeature.NewGeneralResolutionError(err.Error()))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if err != nil {
		return failed(openfeature.NewGeneralResolutionError(err.Error()))
	}
	var found struct {
		Value     json.RawMessage `json:"value"`
		Reason    string          `json:"reason"`
		Variant   string          `json:"variant"`
		ErrorCode string          `json:"errorCode"`
	}
	switch err = json.Unmarshal(text, &found); {
	case answer.StatusCode == http.StatusNotFound:
		return failed(openfeature.NewFlagNotFoundResolutionError(flag))
	case err != nil:
		return failed(openfeature.NewParseErrorResolutionError(err.Error()))
	case answer.StatusCode != http.StatusOK:
		return failed(openfeature.NewGeneralResolutionError(answer.Status + " " + found.ErrorCode))
	}
	detail := openfeature.ProviderResolutionDetail{Reason: openfeature.Reason(found.Reason), Variant: found.Variant}
	if found.Value == nil { // the server leaves the value to the code's default
		return openfeature.GenericResolutionDetail[T]{Value: fallback, ProviderResolutionDetail: detail}
	}
	value := fallback
	if err = json.Unmarshal(found.Value, &value); err != nil {
		return failed(openfeature.NewTypeMismatchResolutionError(err.Error()))
	}
	return openfeature.GenericResolutionDetail[T]{Value: value, ProviderResolutionDetail: detail}
}

func (p *ofrepProvider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: "ofrep"} }
func (p *ofrepProvider) Hooks() []openfeature.Hook      { return nil }

func (p *ofrepProvider) BooleanEvaluation(ctx context.Context, flag string, fallback bool,
	attributes openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return evaluate(ctx, p, flag, fallback, attributes)
}

func (p *ofrepProvider) StringEvaluation(ctx context.Context, flag string, fallback string,
	attributes openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return evaluate(ctx, p, flag, fallback, attributes)
}

func (p *ofrepProvider) FloatEvaluation(ctx context.Context, flag string, fallback float64,
	attributes openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return evaluate(ctx, p, flag, fallback, attributes)
}

func (p *ofrepProvider) IntEvaluation(ctx context.Context, flag string, fallback int64,
	attributes openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return evaluate(ctx, p, flag, fallback, attributes)
}

func (p *ofrepProvider) ObjectEvaluation(ctx context.Context, flag string, fallback any,
	attributes openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return evaluate(ctx, p, flag, fallback, attributes)
}
